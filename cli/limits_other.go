//go:build !linux

package cli

// limitAddressSpace does nothing: other systems have no such limit, or do not keep it.
func limitAddressSpace(int64) {}
