-- One row per corpus document in each tokens artifact: the documents artifact that contains it, its title and split
-- there, and how many of its tokens were used. Moments use the split moments, perplexity uses heldout.
CREATE VIEW corpus AS
SELECT t.artifact, e.parent AS documents, t.document, d.title, d.split, t.tokens
FROM (SELECT artifact, document, sum(len(ids))::BIGINT AS tokens FROM payload_tokens GROUP BY artifact, document) t
LEFT JOIN edges e ON e.child = t.artifact AND e.role = 'documents'
LEFT JOIN payload_documents d ON d.artifact = e.parent AND d.document = t.document;
