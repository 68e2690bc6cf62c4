"""How a run is carried out: stages in order, reuse, measurements, gates and the run's record."""
