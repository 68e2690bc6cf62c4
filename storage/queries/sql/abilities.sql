-- One row per general-ability question, way of asking and state: the correct option, the predicted one (null: none),
-- correct as 1 or 0, and what the prediction was read from: the options' mean NLLs, or the generated text (said).
CREATE VIEW abilities AS
SELECT
    s.parent AS state, c.parent AS cases, a.artifact, a.set, a.case_id, a.way, q.prompt, q.options, a.label, a.predicted,
    coalesce(a.predicted = a.label, false)::DOUBLE AS correct, a.nlls, a.said
FROM payload_ability a
LEFT JOIN edges s ON s.child = a.artifact AND s.role = 'state'
LEFT JOIN edges c ON c.child = a.artifact AND c.role = 'cases'
LEFT JOIN payload_ability_cases q ON q.artifact = c.parent AND q.set = a.set AND q.case_id = a.case_id;
