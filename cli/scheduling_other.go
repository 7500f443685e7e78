//go:build !linux

package cli

// PreferThroughput does nothing, because only Linux has a policy for it.
func PreferThroughput() {}
