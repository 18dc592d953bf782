{% load static %}self.xraysite = {{ config|safe }};
{% if config == "null" %}importScripts("{% static 'js/offline/retired.js' %}");{% else %}importScripts("{% static 'js/offline/worker.js' %}");{% endif %}
