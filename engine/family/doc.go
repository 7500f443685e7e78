// Package family says what the families of decoders are: which keys of a configuration mean what, and how
// tensors are called. [Open] turns a checkpoint into a [model.Spec], all that the decoder has to know beside
// the weights, and [model.Sources], where the weights lie.
//
// A family is a page of data: its model types, the values that its configuration class takes for absent keys,
// a function that reads the keys, and a table of names. To add one:
//
//  1. write its page, beginning from the one that is most like it (llama.go for most). The defaults are those
//     of the configuration class; every key that touches arithmetic is read, or refused by name;
//  2. put it into the slice in [All]; if llama.cpp stores it, add a line to the table in gguf.go;
//  3. give [familytest.Tiny] a small configuration with all that the family may have, and add its keys to the
//     tables in config_test.go;
//  4. make reference numbers with another implementation in float64, and let package plain meet them. What the
//     family computes that no [model.Spec] says gets a field there, a loop in package plain, and then a kernel
//     in package model.
//
// A key is understood or refused, never skipped: a key that no page reads and that is not on the list of those
// without arithmetic is an error that names it, and so is a tensor that nothing reads.
package family
