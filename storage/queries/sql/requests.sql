-- One row per edit request in each requests artifact, with its evaluation prompts.
CREATE VIEW requests AS
SELECT * FROM payload_requests;
