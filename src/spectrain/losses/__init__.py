"""Losses: float32, on the device, as a sum and a weight; weights of rare labels and sums over tokens for them."""
