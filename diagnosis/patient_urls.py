from django.urls import path

from diagnosis.views import patients

app_name = "patients"
urlpatterns = [path("<uuid:pk>/", patients.patient_detail, name="detail")]
