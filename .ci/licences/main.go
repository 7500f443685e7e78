// Command licences lists the modules that are linked into ducklens with their licences, and fails for one
// whose licence it does not know or does not accept. It reads the module cache and needs no network.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// accepted are the licences under which a linked module may be, each with words that its text has and others
// have not, in letters of either size. The first match counts. All of them let ducklens be given away as one
// program under MIT. A licence with copyleft is not in the list, and so is an error.
var accepted = []struct{ name, words string }{
	{"Apache-2.0", "Apache License Version 2.0, January 2004"},
	{"FTL", "your choice of exactly one of the following two licenses"}, // the FreeType License or the GPL
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files"},
	{"BSD-3-Clause", "Neither the name"},
	{"BSD-3-Clause", "SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only"}, // the former is chosen
	{"BSD-2-Clause", "Redistribution and use in source and binary forms, with or without modification, are permitted"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee"},
	{"Unlicense", "This is free and unencumbered software released into the public domain"},
	{"Bitstream-Vera", "Permission is hereby granted, free of charge, to any person obtaining a copy of the fonts accompanying this license"},
}

var (
	licenceFile = regexp.MustCompile(`(?i)^(un)?licen[cs]e|^copying`)
	space       = regexp.MustCompile(`[\s#*>]+`)
)

// licenceOf names the licence of a text, or gives "".
func licenceOf(text string) string {
	bare := func(s string) string { return strings.ToLower(space.ReplaceAllString(s, " ")) }
	for _, a := range accepted {
		if strings.Contains(bare(text), bare(a.words)) {
			return a.name
		}
	}
	return ""
}

// licences names the licences in the files at the top of a module's folder. A folder without one, or a text
// that is not known, is an error.
func licences(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		name := licenceOf(string(text))
		if name == "" {
			return nil, fmt.Errorf("%s is no licence that is accepted", e.Name())
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no file with a licence")
	}
	return names, nil
}

func run() error {
	const format = "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}"
	cmd := exec.Command("go", "list", "-deps", "-f", format, "./cli/ducklens")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	modules := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(modules)
	wrong := 0
	for _, m := range slices.Compact(modules) {
		fields := strings.Split(m, "\t")
		if len(fields) != 3 {
			continue // the standard library
		}
		names, err := licences(fields[2])
		if err != nil {
			wrong++
			names = []string{"NOT ACCEPTED: " + err.Error()}
		}
		fmt.Printf("%-30s %s %s\n", strings.Join(names, ", "), fields[0], fields[1])
	}
	if wrong > 0 {
		return fmt.Errorf("%d modules whose licence is not accepted", wrong)
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(1)
	}
}
