-- One row per input of an artifact: child was made from parent in this role; position counts within the role.
CREATE VIEW edges AS
SELECT
    id AS child, kind AS child_kind, input.role AS role, input.artifact AS parent,
    row_number() OVER (PARTITION BY id, input.role ORDER BY place) - 1 AS position
FROM (
    SELECT id, kind, unnest(inputs) AS input, generate_subscripts(inputs, 1) AS place FROM artifacts
);
