//go:build unix && !linux

package draft

import "errors"

func exchangeNames(a, b string) error { return errors.ErrUnsupported }
