// Package sites holds the documents of sample partner sites, as folders that
// frappetest loads, for the tests and the demo of every room.
//
// What belongs here: data. What does not: code that knows what the data means.
package sites

import (
	"embed"
	"io/fs"
)

//go:embed meridian
var meridian embed.FS

// Meridian is a house of 12 people in Berlin with seven projects, 45 tickets
// and a year of weekly figures; expected.json holds its metrics.
func Meridian() fs.FS {
	sub, err := fs.Sub(meridian, "meridian")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}
