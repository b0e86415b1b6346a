"""What real modules do, measured on this machine: bytes saved, bytes alive, ledgers and probes."""
