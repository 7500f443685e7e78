//go:build unix

package regular

import "golang.org/x/sys/unix"

// nonblock keeps Open from waiting if a pipe replaces the file between the check and the opening.
const nonblock = unix.O_NONBLOCK
