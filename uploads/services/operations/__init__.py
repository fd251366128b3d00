"""Operations: an abort or a completion that an operator requested."""
