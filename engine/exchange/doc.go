// Package exchange reads folders of activations: what a forward pass elsewhere has computed of some prompts, as
// far as their scores are made of it. docs/activations.md is the format, and the Python package writes it.
//
// A folder may come from a stranger. Every name, length, index, type and sum in it is checked before it
// decides what is opened or how much memory is taken; files are regular ones that lie in the folder itself.
package exchange
