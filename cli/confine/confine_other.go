//go:build !linux

package confine

func version() int { return 0 }

// Process does nothing on this system.
func Process(Paths) error { return nil }
