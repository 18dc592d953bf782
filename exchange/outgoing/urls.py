from django.urls import path

from exchange.outgoing import views

app_name = "outgoing"
urlpatterns = [
    path("readings/<uuid:pk>/dicom.zip", views.dicom_zip, name="dicom_zip"),
]
