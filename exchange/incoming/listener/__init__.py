"""The process that receives X-rays over the DICOM network: `manage.py dicom_listen`.

`server` accepts connections within limits, `gate` decides who may open an association, `handlers`
answer the services, `confirming` sends storage commitments, `running` is the process.
"""
