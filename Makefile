# Shorthand for run.py, which needs no make. A: extra arguments, as in `make test A="-k query"`.
.PHONY: demo test check docs bench lowest lock
demo test check docs bench lowest lock:
	@python3 run.py $@ $(A)
