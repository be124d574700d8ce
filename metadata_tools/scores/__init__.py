"""What is played: scores, the parts in them and the instruments that play these."""
