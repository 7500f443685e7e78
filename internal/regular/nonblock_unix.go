//go:build unix

package regular

import "golang.org/x/sys/unix"

// nonblock keeps a pipe that takes the file's place in mid-air from holding us up.
const nonblock = unix.O_NONBLOCK
