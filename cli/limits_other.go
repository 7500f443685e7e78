//go:build !linux

package cli

// limitAddressSpace does nothing: other systems have no such limit, or do not keep it.
func limitAddressSpace(int64) {}

// ownMemory is not known here.
func ownMemory() (bytes int64, ok bool) { return 0, false }
