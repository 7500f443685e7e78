// Package family says what the families of decoders are: which keys of a configuration mean what, and how
// tensors are called. [Open] turns a checkpoint into a [model.Spec], all that the decoder has to know beside
// the weights, and [model.Sources], where the weights lie.
//
// A family is a page of data: its model types, the values that its configuration class takes for absent keys,
// a function that reads the keys, and a table of names. Adding one means to write such a page, to put it into
// the slice in family.go, and to test it against numbers of the family.
//
// A key is understood or refused, never skipped: a key that no page reads and that is not on the list of
// those without arithmetic is an error that names it, and so is a tensor that nothing reads.
package family
