"""Lists: typed and chosen filters, sorting, columns, paging and export, all of it in the address."""
