module github.com/prmsync/prmsync

go 1.26
