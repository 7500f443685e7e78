package engine

// RandomDirection is the generator of random bases.
var RandomDirection = randomDirection
