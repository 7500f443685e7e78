//go:build !linux

package cli

// PreferThroughput tells the system that nobody waits for the single steps of this process. Only Linux is told.
func PreferThroughput() {}
