//go:build !linux

package cli

// limitAddressSpace does nothing, because other systems have no such limit or do not enforce it.
func limitAddressSpace(int64) {}

// ownMemory reports that the memory is unknown.
func ownMemory() (bytes int64, ok bool) { return 0, false }
