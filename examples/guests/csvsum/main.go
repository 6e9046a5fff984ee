// Command csvsum sums a CSV by group: a table on stdin, with a header line, comes back as JSON with one entry for each
// value of the column named by the first argument: how many rows, and the exact sum of the column named by the second.
//
// Sums are exact decimals, never floating point, so every node gives the same bytes. Groups come in byte order.
// Exit status 2 for bad arguments, 1 for bad input, with the reason on stderr.
package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"regexp"
	"slices"
)

// plainDecimal keeps out what big.Rat would also take: fractions, exponents, hexadecimal.
var plainDecimal = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?$`)

type group struct {
	Group string `json:"group"`
	Rows  int    `json:"rows"`
	Sum   string `json:"sum"`

	total  big.Rat
	places int
}

// add counts one more row and remembers the largest number of decimal places seen.
func (g *group) add(text string) error {
	if !plainDecimal.MatchString(text) {
		return fmt.Errorf("%q is not a decimal number", text)
	}
	var value big.Rat
	value.SetString(text)
	g.total.Add(&g.total, &value)
	g.Rows++
	for at := range text {
		if text[at] == '.' {
			g.places = max(g.places, len(text)-at-1)
		}
	}
	return nil
}

func sum(rows *csv.Reader, by, of string) ([]*group, error) {
	header, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("the header line cannot be read: %w", err)
	}
	header = slices.Clone(header) // the reader reuses its record
	key, value := slices.Index(header, by), slices.Index(header, of)
	if key < 0 || value < 0 {
		return nil, fmt.Errorf("columns %q and %q must both be among %q", by, of, header)
	}
	groups := map[string]*group{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return inOrder(groups), nil
		}
		if err != nil {
			return nil, err
		}
		found := groups[row[key]]
		if found == nil {
			found = &group{Group: row[key]}
			groups[row[key]] = found
		}
		if err := found.add(row[value]); err != nil {
			line, _ := rows.FieldPos(value)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// inOrder lists the groups by name: a Go map's own order is random, which no two nodes would agree on.
func inOrder(groups map[string]*group) []*group {
	list := []*group{}
	for _, one := range groups {
		one.Sum = one.total.FloatString(one.places)
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b *group) int {
		if a.Group < b.Group {
			return -1
		}
		return 1
	})
	return list
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: csvsum GROUP_COLUMN SUM_COLUMN")
		os.Exit(2)
	}
	rows := csv.NewReader(os.Stdin)
	rows.ReuseRecord = true
	groups, err := sum(rows, os.Args[1], os.Args[2])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(groups)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "csvsum:", err)
		os.Exit(1)
	}
}
