"""The demo: two days of real purchases, faster than life, with attacks mixed in, and every figure checked."""
