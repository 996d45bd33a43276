// Package prm reads what people entered on the PRM, provisions its doctypes and carries out planned changes there.
// What to write is decided in rules/plan, when to write it in daemon; a field that people own is never sent.
package prm
