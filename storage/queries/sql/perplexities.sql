-- One row per held-out document and state: number of tokens and their summed negative log-likelihood (nll) in nats.
-- The perplexity of a state is exp(sum(nll) / sum(tokens)).
CREATE VIEW perplexities AS
SELECT s.parent AS state, d.parent AS documents, p.*
FROM payload_perplexity p
LEFT JOIN edges s ON s.child = p.artifact AND s.role = 'state'
LEFT JOIN edges d ON d.child = p.artifact AND d.role = 'documents';
