"""The modality worklist: X-ray machines ask which patients they are to take X-rays of.

`handlers` has what a DICOM listener binds, `queries` finds and audits the orders of a query,
`keys` compares them with it, `answers` writes them as DICOM, and `steps` keeps what machines report
while they take X-rays. Standard: PS3.4, annexes K and F.
"""
