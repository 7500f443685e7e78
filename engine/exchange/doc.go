// Package exchange reads folders of activations: what another program's forward pass has computed of some
// prompts, as far as it is needed to decompose scores. The format is described in docs/activations.md, and
// the Python package writes it.
//
// A folder may come from a stranger. Every name, length, index, type and checksum in it is checked before it
// decides what is opened or how much memory is used. Files must be regular files in the folder itself.
package exchange
