"""What connects this package with others; each module needs the extra of its name."""
