-- One row per layer and eigenvalue of the mean second moment of the keys of preserved knowledge.
CREATE VIEW spectra AS
SELECT artifact, layer, i, eigenvalue FROM payload_spectrum;
