"""The card as a page of its own, for CRMs that frame pages or open links instead of running the widget (U1)."""
