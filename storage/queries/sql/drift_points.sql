-- One row per layer, prompt (i) and cloud (base or edited): its hidden state projected onto the plane of the base's
-- first two principal axes, for plots of the drift of state from base.
CREATE VIEW drift_points AS
SELECT s.parent AS state, b.parent AS base, p.*
FROM payload_drift_points p
LEFT JOIN edges e ON e.child = p.artifact AND e.role = 'edited'
LEFT JOIN edges s ON s.child = e.parent AND s.role = 'state'
LEFT JOIN edges f ON f.child = p.artifact AND f.role = 'base'
LEFT JOIN edges b ON b.child = f.parent AND b.role = 'state';
