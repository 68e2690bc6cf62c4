"""The science of knowledge editing in torch: no scheduler, no table, no lake."""
