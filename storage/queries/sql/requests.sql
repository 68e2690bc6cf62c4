-- One row per edit request in each requests artifact, with the prompts that evaluate it.
CREATE VIEW requests AS
SELECT * FROM payload_requests;
