// Package demo makes up partners and a year of their documents, and serves them
// and a PRM in memory for `prmsync demo`. The daemon it feeds is the real one;
// nothing here is used against a real site.
package demo
