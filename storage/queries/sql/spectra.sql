-- One row per layer and eigenvalue of the mean second moment of the keys of preserved knowledge (K0).
CREATE VIEW spectra AS
SELECT artifact, layer, i, eigenvalue FROM payload_spectrum;
