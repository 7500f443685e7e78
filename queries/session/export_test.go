package session

// Allowed is the gate's list, for the test that compares it with DuckDB's functions.
var Allowed = allowed
