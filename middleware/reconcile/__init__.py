"""Reconciling: sweeps over the remote systems that find what no webhook reported."""
