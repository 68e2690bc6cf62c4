"""Second moments, spectra, null spaces and closed-form solvers."""
