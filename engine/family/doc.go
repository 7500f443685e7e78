// Package family describes the families of decoders: what the keys of a configuration mean, and how tensors
// are named. [Open] turns a checkpoint into a [model.Spec], which is everything that the decoder has to know
// besides the weights, and [model.Sources], which say where the weights are.
//
// A family is a page of data: its model types, the values that its configuration class uses for absent keys,
// a function that reads the keys, and a table of names. To add one:
//
//  1. Write its page, starting from the one that is most like it (llama.go for most). The defaults are those
//     of the configuration class. Every key that affects arithmetic is read, or refused by name.
//  2. Add it to the slice in [All]. If llama.cpp stores it, add a line to the table in gguf.go.
//  3. Give [familytest.Tiny] a small configuration with everything that the family may have, and add its
//     keys to the tables in config_test.go.
//  4. Make reference numbers with another implementation in float64, and make package plain agree with them.
//     If the family computes something that [model.Spec] cannot express yet, add a field to it, a loop to
//     package plain, and then a kernel to package model.
//
// A key is understood or refused, never skipped. A key that no page reads and that is not on the list of keys
// without effect on arithmetic is an error that names it, and so is a tensor that nothing reads.
package family
