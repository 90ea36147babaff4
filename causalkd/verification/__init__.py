"""Whether the claim is true."""
