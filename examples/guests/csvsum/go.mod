module ambient/csvsum

go 1.24
