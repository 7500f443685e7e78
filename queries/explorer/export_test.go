package explorer

// Rows exports rows.
type Rows = rows
