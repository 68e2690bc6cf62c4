-- One row per input of an artifact: child was made from parent in this role; position counts within the role.
CREATE VIEW edges AS
SELECT
    id AS child, kind AS child_kind, input.role AS role, input.artifact AS parent,
    place - list_position(roles, input.role) AS position  -- inputs of one role are consecutive
FROM (
    SELECT
        id, kind, unnest(inputs) AS input, generate_subscripts(inputs, 1) AS place,
        list_transform(inputs, lambda i: i.role) AS roles
    FROM artifacts
);
